package io.github.textpoke.x86.decode;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

class DecodeArchitectureTest {
  private final JavaClasses classes =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages("io.github.textpoke.x86");

  @Test
  void onlyZydisClassesNameJnr() {
    noClasses()
        .that()
        .haveSimpleNameNotStartingWith("Zydis")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("jnr..", "com.kenai..")
        .check(classes.that(notNestedInZydis()));
  }

  @Test
  void theTableDecoderWorksWithoutZydis() {
    noClasses()
        .that()
        .haveSimpleNameNotStartingWith("Zydis")
        .and()
        .doNotHaveSimpleName("WitnessedDecoder")
        .should()
        .dependOnClassesThat()
        .haveSimpleNameStartingWith("Zydis")
        .check(classes.that(notNestedInZydis()));
  }

  private static com.tngtech.archunit.base.DescribedPredicate<
          com.tngtech.archunit.core.domain.JavaClass>
      notNestedInZydis() {
    return com.tngtech.archunit.base.DescribedPredicate.describe(
        "not nested in Zydis*", javaClass -> !javaClass.getName().contains(".Zydis"));
  }
}
