"""The review: a pure state machine, the session that saves it, and the view that the deck draws."""
