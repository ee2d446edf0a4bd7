package io.github.textpoke.x86.probe;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** The calls of one function in one sampling period of {@link Probe#sample}. */
@Name("io.github.textpoke.ProbeSample")
@Label("Probe Sample")
@Category({"textpoke", "Probes"})
@Description("Calls of a probed function of another process, in one sampling period")
@StackTrace(false)
final class ProbeSampleEvent extends Event {
  @Label("Process")
  int pid;

  @Label("Function")
  String function = "";

  @Label("Address")
  long address;

  @Label("Calls")
  @Description("In the period")
  long calls;

  @Label("Calls Until Now")
  long total;

  @Label("Period")
  @Timespan(Timespan.NANOSECONDS)
  long period;

  @Label("Median")
  @Description("Of the calls that returned in the period; 0 where nobody takes their time")
  @Timespan(Timespan.NANOSECONDS)
  long p50;

  @Label("99th Percentile")
  @Description("Of the calls that returned in the period; 0 where nobody takes their time")
  @Timespan(Timespan.NANOSECONDS)
  long p99;
}
