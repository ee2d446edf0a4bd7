package io.github.textpoke.x86.detour;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.reporting.ReportEntry;
import org.junit.platform.launcher.EngineFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherConfig;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** A class of tests, run inside of a test as a build tool runs it, and what was reported of it. */
final class JupiterRun implements TestExecutionListener {
  /** Those of tests, in the order in which they ended. */
  final List<TestExecutionResult> results = Collections.synchronizedList(new ArrayList<>());

  final List<String> notes = Collections.synchronizedList(new ArrayList<>());

  private JupiterRun() {}

  /**
   * @param tests as nobody's class path scan finds them: nested, static, not private
   * @param parameters configuration parameters of JUnit
   */
  static JupiterRun of(Class<?> tests, Map<String, String> parameters) {
    JupiterRun run = new JupiterRun();
    LauncherFactory.create(
            LauncherConfig.builder()
                .enableTestExecutionListenerAutoRegistration(false)
                .enableLauncherSessionListenerAutoRegistration(false)
                .enablePostDiscoveryFilterAutoRegistration(false)
                .build())
        .execute(
            LauncherDiscoveryRequestBuilder.request()
                .selectors(selectClass(tests))
                .filters(EngineFilter.includeEngines("junit-jupiter"))
                .configurationParameters(parameters)
                .build(),
            run);
    return run;
  }

  @Override
  public void executionFinished(TestIdentifier identifier, TestExecutionResult result) {
    if (identifier.isTest()) {
      results.add(result);
    } else {
      assertThat(result.getThrowable()).as(identifier.getDisplayName()).isEmpty();
    }
  }

  @Override
  public void reportingEntryPublished(TestIdentifier identifier, ReportEntry entry) {
    notes.addAll(entry.getKeyValuePairs().values());
  }

  /** What the only test failed with. */
  Throwable failure() {
    assertThat(results).hasSize(1);
    return results.get(0).getThrowable().orElseThrow(() -> new AssertionError("it succeeded"));
  }

  void assertSucceeded(int tests) {
    assertThat(results)
        .hasSize(tests)
        .allSatisfy(each -> assertThat(each.getThrowable()).isEmpty());
  }
}
