"""The public test kit: fakes, servers to test against, fault points, and the contract suite for parts of one's own."""
