"""The crop desk: editing of boxes (pure), the state machine of a page (pure), and the session that submits crops."""
