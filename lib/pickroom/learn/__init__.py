"""Learning from decisions: training sets, features, the ranker, the crop proposer, their metrics and checkpoints."""
