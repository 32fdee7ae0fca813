"""The pocket detectors: GroundingDINO and SAM 2 at toy size, trained on the sprite world. Training only; loading is `detect`'s."""
