"""The fake GAZE server and the driver of Home Assistant processes."""
