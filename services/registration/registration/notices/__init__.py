"""What people are told, by e-mail: asked for here and by other services, rendered and sent here, where addresses are known."""
