"""The models of documents, and of the lab that they describe: typed, frozen, no engine."""
