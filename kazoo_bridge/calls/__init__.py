"""Live calls: who is talking, commands to them, and a picture of them that follows what happens."""
