"""Networks: one module per architecture, each exposing Net(cfg)."""
