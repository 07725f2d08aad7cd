"""One short run, for tests that kill what makes it."""

MATRIX = {
    "version": 1,
    "datasets": ["digits"],
    "networks": ["small"],
    "seeds": [0],
    "settings": {"epochs": 8, "batch_size": 128, "batch_norm_batches": 5},
    "variants": [{"name": "random", "method": "random", "codewords": [4]}],
}
NAME = "digits.small.random.n4.seed0"
PATIENCE = 240.0  # seconds, on a machine that does other things as well
