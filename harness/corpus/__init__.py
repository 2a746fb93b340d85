"""Which concepts occur in the captions of a pre-training corpus: counts by rules, verdicts, evidence, records."""
