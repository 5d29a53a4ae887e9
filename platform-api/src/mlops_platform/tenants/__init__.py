"""Teams as data: one YAML definition, rendered as namespaces, quotas, network policies and roles."""
