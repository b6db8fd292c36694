"""What the user does with keys: review, crop, browse, sort and compare duplicates. No widgets, no HTML."""
