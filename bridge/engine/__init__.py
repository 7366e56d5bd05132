"""OpenTSDB semantics over any source: plan, label, group, aggregate, fill."""
