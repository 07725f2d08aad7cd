"""What a model costs and uses: accounting, codeword usage, summaries, plots."""
