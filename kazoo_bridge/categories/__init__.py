"""The built-in event categories: one module each, with an `IEventCategory` that ``twisted.plugin`` finds."""
