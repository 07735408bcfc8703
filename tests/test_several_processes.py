"""The command that compares one process with two: what it counts."""

from benchmarks import several_processes


def test_each_way_reaches_the_same_weights(monkeypatch):
    ways = {"one process, two threads": (1, 2), "two processes, one thread each": (2, 1)}
    monkeypatch.setattr(several_processes, "WAYS", ways)
    figures = several_processes.measure("smoke", rounds=1)
    assert figures["batch_size"] == 16 and figures["steps"] == several_processes.STEPS
    one, two = figures["ways"].values()
    assert one["times_two_threads"] == 1 and one["weights_apart"] == 0
    assert one["images_a_second"] > 0 and two["images_a_second"] > 0
    # Rounded otherwise, and so not the same to the last bit, but the same run.
    assert 0 < two["weights_apart"] < 0.1
    assert two["largest_difference_of_a_loss"] < 1e-3
    assert len(several_processes.table({"smoke": figures})) == 4
