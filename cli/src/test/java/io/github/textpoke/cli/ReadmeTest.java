package io.github.textpoke.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import io.github.textpoke.fixtures.Fixture;
import io.github.textpoke.x86.plan.Rules;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;

/** What the README says is true. Surefire runs tests in the module's folder. */
@Timeout(120)
class ReadmeTest {
  private static final Pattern JAVA = Pattern.compile("(?s)```java\n(.*?)```");
  private static final Pattern CLASS = Pattern.compile("public class (\\w+)");

  @TempDir private Path folder;

  @Test
  void theTableOfRulesIsTheCodes() throws IOException {
    assertThat(readme()).contains("\n\n" + Rules.table() + "\n");
  }

  @Test
  void theExitCodesAreTheCommandLines() throws IOException {
    String help = Run.of("--help").assertDone().out();

    Matcher rows = Pattern.compile("(?m)^\\| ([0-9]) \\| ([^|]*) \\|$").matcher(readme());
    int codes = 0;
    for (; rows.find(); codes++) {
      assertThat(help).contains("  " + rows.group(1) + "   " + rows.group(2));
    }
    assertThat(codes).isEqualTo(ExitCode.ROLLED_BACK + 1);
  }

  @Test
  void thereAreSevenExamples() throws IOException {
    assertThat(examples()).hasSize(7);
  }

  @Test
  void theFirstExamplePatchesAProcessAndTakesItBack() throws Exception {
    try (Fixture workers = Fixture.start("workers", "--sites", "nop_62")) {
      String printed = run(examples().get(0), Integer.toString(workers.pid()));

      assertThat(printed).startsWith("ApplyReport[engine=");
      workers.assertHealthy();
      assertThat(Run.of("inspect", workers.pid(), "nop_62").assertDone().out())
          .contains("0f 1f 44 00 00");
    }
  }

  @Test
  void theSecondExampleAssertsOnAPlan() throws Exception {
    assertThat(run(examples().get(1))).contains("step", "core sync", "0x1001");
  }

  @Test
  void theThirdExampleMakesAFunctionFailAndTakesItBack() throws Exception {
    try (Fixture syncer = Fixture.start("syncer")) {
      String printed = run(examples().get(2), Integer.toString(syncer.pid()));

      assertThat(printed).startsWith("the original write is at 0x");
      syncer.assertHealthy();
      assertThat(syncer.counter("wrong_0")).isZero();
      assertThat(Run.of("revert", syncer.pid(), "--all").assertDone().out())
          .contains("0 patches reverted");
    }
  }

  @Test
  void theFourthExampleIsATestThatSucceeds() throws Exception {
    SummaryGeneratingListener summary = new SummaryGeneratingListener();
    load(
        examples().get(3),
        test ->
            LauncherFactory.create()
                .execute(
                    LauncherDiscoveryRequestBuilder.request()
                        .selectors(DiscoverySelectors.selectClass(test))
                        .build(),
                    summary));

    assertThat(summary.getSummary().getFailures()).isEmpty();
    assertThat(summary.getSummary().getTestsSucceededCount()).isEqualTo(1);
  }

  @Test
  void theFifthExamplePatchesAServiceLive() throws Exception {
    try (Fixture service = Fixture.start("service")) {
      String patch = Fixture.program("service_v2.so").toString();
      String printed = run(examples().get(4), Integer.toString(service.pid()), patch);

      assertThat(printed).contains("service-v2 is enabled");
      service.assertHealthy();
      assertThat(Run.of("revert", service.pid(), "--all").assertDone().out())
          .contains("0 patches reverted");
    }
  }

  @Test
  void theSixthExampleCountsCalls() throws Exception {
    try (Fixture syncer = Fixture.start("syncer")) {
      String printed = run(examples().get(5), Integer.toString(syncer.pid()));

      assertThat(printed).matches("[1-9][0-9]* calls of fsync\\R");
      syncer.assertHealthy();
    }
  }

  @Test
  void theSeventhExampleSeesCalls() throws Exception {
    try (Fixture syncer = Fixture.start("syncer")) {
      String printed = run(examples().get(6), Integer.toString(syncer.pid()));

      assertThat(printed).contains("libc.so.6:fsync", "arguments=[", "returned=OptionalLong[0]");
      syncer.assertHealthy();
    }
  }

  private static String readme() throws IOException {
    return Files.readString(Path.of("..", "README.md"));
  }

  private static ImmutableList<String> examples() throws IOException {
    return JAVA.matcher(readme())
        .results()
        .map(found -> found.group(1))
        .collect(ImmutableList.toImmutableList());
  }

  /** What is done with an example. */
  private interface Use {
    void accept(Class<?> example) throws Exception;
  }

  /** Compiles an example with this test's class path, and loads it. */
  private void load(String example, Use use) throws Exception {
    Matcher name = CLASS.matcher(example);
    assertThat(name.find()).isTrue();
    Path source = Files.writeString(folder.resolve(name.group(1) + ".java"), example);
    ByteArrayOutputStream errors = new ByteArrayOutputStream();
    int status =
        ToolProvider.getSystemJavaCompiler()
            .run(
                null,
                null,
                errors,
                "-Xlint:all,-processing,-path",
                "-Werror",
                "-cp",
                System.getProperty("java.class.path"),
                "-d",
                folder.toString(),
                source.toString());
    assertThat(status).as(errors.toString(UTF_8)).isZero();
    try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
      use.accept(loader.loadClass(name.group(1)));
    }
  }

  /** Runs an example, and returns what it prints. */
  private String run(String example, String... arguments) throws Exception {
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    PrintStream out = System.out;
    try {
      System.setOut(new PrintStream(printed, true, UTF_8));
      load(
          example, main -> main.getMethod("main", String[].class).invoke(null, (Object) arguments));
    } finally {
      System.setOut(out);
    }
    return printed.toString(UTF_8);
  }
}
