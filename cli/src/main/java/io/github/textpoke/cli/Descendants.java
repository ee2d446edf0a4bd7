package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ListMultimap;
import com.google.common.collect.MultimapBuilder;
import com.google.common.collect.Multimaps;
import io.github.textpoke.apply.FollowedProgram;
import io.github.textpoke.apply.Launch;
import io.github.textpoke.x86.follow.FollowedChildren;
import io.github.textpoke.x86.probe.EarlyProbes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;

/** Programs that a launched one and its children execute, and what is probed in them. */
final class Descendants implements AutoCloseable {
  private final FollowedChildren children = FollowedChildren.with(this::patched);
  private final EarlyProbes like;
  private final BiFunction<Launch, EarlyProbes, Launch> patches;

  /** By process id, in the order of beginning: a process may execute several. */
  private final ListMultimap<Integer, EarlyProbes> probes =
      Multimaps.synchronizedListMultimap(
          MultimapBuilder.linkedHashKeys().arrayListValues().build());

  /**
   * @param like what is probed in each
   * @param patches what each gets, and with it the probes of its own
   */
  Descendants(EarlyProbes like, BiFunction<Launch, EarlyProbes, Launch> patches) {
    this.like = like;
    this.patches = patches;
  }

  /** The launch of a program whose children are followed. */
  Launch in(Launch launch) {
    return children.in(launch);
  }

  private Launch patched(Launch launch) {
    EarlyProbes probing = like.whereFound();
    return patches.apply(
        launch.patchAtEntry(process -> probes.put(process.pid(), probing)), probing);
  }

  /** Those of all programs until now. */
  ImmutableList<EarlyProbes> probes() {
    synchronized (probes) {
      return ImmutableList.copyOf(probes.values());
    }
  }

  /** From now on there are no more. */
  void stopFollowing() {
    children.close();
  }

  /** In the order of beginning. */
  List<ProbedChild> all() {
    Map<Integer, Integer> taken = new HashMap<>();
    List<ProbedChild> all = new ArrayList<>();
    for (FollowedProgram each : children.programs()) {
      List<EarlyProbes> ofProcess = probes.get(each.pid());
      int index = taken.merge(each.pid(), 1, Integer::sum) - 1;
      all.add(
          new ProbedChild(
              each,
              index < ofProcess.size() ? Optional.of(ofProcess.get(index)) : Optional.empty()));
    }
    return all;
  }

  @Override
  public void close() {
    children.close();
    probes().forEach(EarlyProbes::close);
  }
}
