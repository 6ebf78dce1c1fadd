BEGIN TRANSACTION;
CREATE TABLE duration (key TEXT PRIMARY KEY, samples TEXT NOT NULL);
CREATE TABLE job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE, record TEXT NOT NULL
);
INSERT INTO "job" VALUES(1,'ed100650-886e-4190-8f02-ad785e6986cf','{"job_id":"ed100650-886e-4190-8f02-ad785e6986cf","batch_id":"01M87280WW9JY66W585RAFDG0Q","index":1,"count":1,"status":"done","reason":null,"error":null,"preset":"neon_city","preset_name":"Neon city","tag":"wallpaper","seed":"14089154938208861744","width":null,"height":null,"checkpoint":null,"extra_positive":"rain on glass","extra_negative":null,"requested_at":1795533570.972435,"started_at":null,"finished_at":1795533571.174066,"duration":null,"source_url":"/static/uploads/presets/neon_city/gen_1795533571.png","told_queued":true,"told_end":true}');
INSERT INTO "job" VALUES(6,'d1182e02-69bf-4b49-aed7-c66ef61f43ca','{"job_id":"d1182e02-69bf-4b49-aed7-c66ef61f43ca","batch_id":"01M8728159RD8A7MJVKS11EW1D","index":1,"count":1,"status":"done","reason":null,"error":null,"preset":"oilpainting","preset_name":"Oil painting","tag":null,"seed":"18446744073709551615","width":64,"height":96,"checkpoint":null,"extra_positive":null,"extra_negative":null,"requested_at":1795533571.241015,"started_at":null,"finished_at":1795533571.442801,"duration":null,"source_url":"/static/uploads/presets/oilpainting/gen_1795533571.png","told_queued":true,"told_end":true}');
INSERT INTO "job" VALUES(11,'ID-OF-OPEN-JOB','{"job_id":"ID-OF-OPEN-JOB","batch_id":"01M87281C0T5JBY7J9C2XQQS2K","index":1,"count":1,"status":"queued","reason":null,"error":null,"preset":"neon_city","preset_name":"Neon city","tag":null,"seed":null,"width":null,"height":null,"checkpoint":null,"extra_positive":"still open","extra_negative":null,"requested_at":TIME-OF-OPEN-JOB,"started_at":null,"finished_at":null,"duration":null,"source_url":null,"told_queued":true,"told_end":false}');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('job',12);
COMMIT;
