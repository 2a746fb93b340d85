"""Turn a data set of another form into a LAION-Beyond root: one reader for each form, and one writer."""
