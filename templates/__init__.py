"""Jinja2 templates of the generated C. C with holes: templates decide nothing."""
