"""What can happen: one module per event category, each holding an `IEventCategory` found by ``twisted.plugin``."""
