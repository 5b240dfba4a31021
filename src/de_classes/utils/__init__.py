"""What every layer may use, one topic a file."""
