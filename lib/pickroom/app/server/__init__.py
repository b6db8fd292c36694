"""What JupyterLab itself needs for Pickroom: its settings (`labconfig/`), and a websocket without delay."""
