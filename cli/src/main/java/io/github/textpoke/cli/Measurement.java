package io.github.textpoke.cli;

import com.google.gson.stream.JsonWriter;
import io.github.textpoke.apply.ToggleListener;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.concurrent.TimeUnit;
import org.HdrHistogram.Histogram;

/**
 * What toggling costs: latency of each change, traps, threads parked. Heard on the tracer's thread
 * and allocates nothing there; read when toggling is over, but for {@link #pokes} and {@link
 * #stop}, which are for any thread.
 */
final class Measurement implements ToggleListener {
  private static final long LONGEST = TimeUnit.MINUTES.toNanos(10);
  private static final int DIGITS = 3;

  private final Histogram nanos = new Histogram(LONGEST, DIGITS);
  private volatile long pokes;
  private volatile boolean stopped;
  private long traps;
  private long parked;

  @Override
  @SuppressWarnings("NonAtomicVolatileUpdate") // one writer
  public boolean poked(long nanos, long windowNanos, long traps, int parked) {
    this.nanos.recordValue(Math.min(nanos, LONGEST));
    this.traps += traps;
    this.parked += parked;
    pokes++;
    return !stopped;
  }

  /** Has toggling stop with the old bytes in place. */
  void stop() {
    stopped = true;
  }

  boolean isStopped() {
    return stopped;
  }

  /** Changes so far: two for each toggle. */
  long pokes() {
    return pokes;
  }

  long traps() {
    return traps;
  }

  void text(String indent, PrintWriter out) {
    out.printf(
        "%slatency of a change: median %s, p99 %s, max %s%n",
        indent, Output.micros(percentile(50)), Output.micros(percentile(99)), Output.micros(max()));
    out.printf("%straps %,d, threads parked %,d%n", indent, traps, parked);
  }

  void json(JsonWriter json) throws IOException {
    json.name("medianNanos").value(percentile(50));
    json.name("p99Nanos").value(percentile(99));
    json.name("maxNanos").value(max());
    json.name("traps").value(traps);
    json.name("parked").value(parked);
  }

  private long percentile(double percent) {
    return nanos.getValueAtPercentile(percent);
  }

  private long max() {
    return nanos.getMaxValue();
  }
}
