"""What pages show of uploads."""
