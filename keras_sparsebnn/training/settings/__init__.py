"""What a run is asked to do: its configuration, recipes and their rules."""
