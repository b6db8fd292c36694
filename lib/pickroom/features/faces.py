"""The face block: what can be measured of the people in an image."""

from __future__ import annotations

COLUMNS = (
    "faces",
    "face_size",
    "face_across",
    "face_down",
    "face_edge",
    "eye_left_open",
    "eye_right_open",
    "eyes_open_least",
    "mouth_open",
    "mouth_wide",
    "smile",
    "yaw",
    "pitch",
    "roll",
    "turned_away",
    "gaze_across",
    "gaze_down",
    "gaze_away",
    "face_sharpness",
    "eyes_sharpness",
    "face_brightness",
    "face_contrast",
    "face_light_side",
)
