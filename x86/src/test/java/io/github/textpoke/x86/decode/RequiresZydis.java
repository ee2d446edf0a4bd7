package io.github.textpoke.x86.decode;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A test that needs libZydis. Where it is missing, the test fails, so that nobody misses that it
 * did not run; {@code -Dtextpoke.skipZydis=true} skips it.
 */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(RequiresZydis.Condition.class)
public @interface RequiresZydis {
  /** The condition behind the annotation. */
  final class Condition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      if (ZydisDecoder.isAvailable()) {
        return ConditionEvaluationResult.enabled("libZydis is there");
      }
      if (Boolean.getBoolean("textpoke.skipZydis")) {
        return ConditionEvaluationResult.disabled("textpoke.skipZydis is set");
      }
      ZydisDecoder.ensureAvailability();
      throw new IllegalStateException("available and not");
    }
  }
}
