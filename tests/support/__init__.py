"""What several test folders share and the package does not ship."""
