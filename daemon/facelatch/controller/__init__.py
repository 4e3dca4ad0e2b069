"""Joins the machines into one state and one step."""
