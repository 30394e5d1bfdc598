"""Live calls: queries for channels, commands to them, and watches that follow an account's calls."""
