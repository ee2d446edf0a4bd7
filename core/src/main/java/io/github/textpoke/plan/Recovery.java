package io.github.textpoke.plan;

import com.google.common.collect.ImmutableList;

/**
 * The way on for a plan that was cut off: see {@link PokeProtocol#recovery}.
 *
 * @param sites what stands at each site now, in the order of the plan's pokes
 * @param steps what brings every site that is not {@link FoundSite.State#FOREIGN} to the goal, in
 *     order; never empty
 */
public record Recovery(ImmutableList<FoundSite> sites, ImmutableList<Step> steps) {
  /** Where a recovery ends. */
  public enum Goal {
    /** The old bytes at every site: the plan is rolled back. */
    OLD,
    /** The new bytes at every site: the plan is finished. */
    NEW
  }

  /** The sites that the steps leave alone, since nobody knows what stands there. */
  public ImmutableList<FoundSite> foreign() {
    return sites.stream()
        .filter(site -> site.state() == FoundSite.State.FOREIGN)
        .collect(ImmutableList.toImmutableList());
  }
}
