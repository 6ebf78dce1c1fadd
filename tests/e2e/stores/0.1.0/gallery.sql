BEGIN TRANSACTION;
CREATE TABLE image (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE, preset TEXT NOT NULL, preset_name TEXT NOT NULL,
    batch_id TEXT NOT NULL, tag TEXT, seed TEXT, checkpoint TEXT, extra_positive TEXT,
    extra_negative TEXT, made_at REAL NOT NULL, path TEXT NOT NULL, content_type TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, size INTEGER NOT NULL,
    saved INTEGER NOT NULL, month TEXT NOT NULL, words TEXT NOT NULL
);
INSERT INTO "image" VALUES(1,'ed100650-886e-4190-8f02-ad785e6986cf','neon_city','Neon city','01M87280WW9JY66W585RAFDG0Q','wallpaper','14089154938208861744',NULL,'rain on glass',NULL,1795533571.1740661,'neon_city/20261124-151931_14089154938208861744_ed100650.png','image/png',64,96,9212,1,'2026-11','neon city
neon_city
rain on glass
14089154938208861744
wallpaper');
INSERT INTO "image" VALUES(2,'d1182e02-69bf-4b49-aed7-c66ef61f43ca','oilpainting','Oil painting','01M8728159RD8A7MJVKS11EW1D',NULL,'18446744073709551615',NULL,NULL,NULL,1795533571.442801,'oilpainting/20261124-151931_18446744073709551615_d1182e02.png','image/png',64,96,9398,1,'2026-11','oil painting
oilpainting
18446744073709551615');
CREATE TABLE property (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "property" VALUES('folder','gaze');
CREATE INDEX image_by_preset ON image (preset);
COMMIT;
