"""alliance_platform, of which `storage` has the upload fields."""
