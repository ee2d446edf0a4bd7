package io.github.textpoke.apply;

import io.github.textpoke.decode.CodeRegion;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.plan.PatchPlan;
import io.github.textpoke.x86.encode.Assembly;
import io.github.textpoke.x86.plan.X86Planner;

/** Plans for the sites of the {@code workers} program, made by the real planner. */
final class WorkerSites {
  private WorkerSites() {}

  /** {@code nop_*} becomes a jump to the replacement, {@code call_*} a call of the other target. */
  static PatchPlan plan(TargetProcess process, Fixture fixture, String site) {
    return plan(process.code("0x" + Long.toHexString(fixture.address(site))), fixture, site);
  }

  /** As above, for the function that holds the site, however it was read. */
  static PatchPlan plan(CodeRegion code, Fixture fixture, String site) {
    Assembly replacement =
        site.startsWith("call")
            ? Assembly.call(fixture.address("target_b"))
            : Assembly.jmp(fixture.address("repl"));
    return X86Planner.create().replace(code, fixture.address(site), replacement);
  }
}
