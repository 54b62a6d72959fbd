"""Training by discrete state transition (needs the extra ``train``)."""
