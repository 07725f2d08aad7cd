"""What also works in a plain `model.fit`: callbacks, optimizers, distillation."""
