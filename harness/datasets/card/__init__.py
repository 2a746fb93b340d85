"""Describe a data folder: how many classes and images it has, and what they are like."""
