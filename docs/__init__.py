"""Makes `docs.generate` importable from the checkout's root; no part of the documentation."""
