"""System checks: of settings and models, and of what the network says where that is asked for."""
