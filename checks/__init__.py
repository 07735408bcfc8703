"""The checks that grade the exercises; see the README for how to run them."""
