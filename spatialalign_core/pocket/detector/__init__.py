"""How the pocket GroundingDINO and the pocket SAM 2 are made: trained from nothing on the sprite world."""
