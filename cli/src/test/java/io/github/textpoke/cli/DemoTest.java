package io.github.textpoke.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.textpoke.fixtures.RequiresPtrace;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@RequiresPtrace
@Timeout(120)
class DemoTest {
  @Test
  void endsWithItsVerdict() {
    StringWriter out = new StringWriter();

    assertThat(new Demo(new PrintWriter(out), 200).run()).isTrue();

    assertThat(out.toString())
        .contains("toggles 200", "traps", "latency", "calls per second")
        .endsWith("demo: ok, 0 wrong results, 0 torn instructions" + System.lineSeparator());
  }
}
