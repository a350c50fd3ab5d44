"""Weaver's budgets, measured beside other supervisors on the machine at hand."""
