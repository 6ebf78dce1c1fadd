"""A stand-in GAZE server and a ready Home Assistant to try the integration in."""
