"""The folder viewer: many folders on one board, images marked for the crop desk or to be set aside."""
