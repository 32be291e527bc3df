"""Input contracts: at which sizes a spec compiles to which network, and figures as formulas."""
