"""The notebook's widgets: they draw a session and forward its events, and hold no data of their own."""
